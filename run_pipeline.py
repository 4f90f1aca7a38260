"""The main job without an installation: the `run` command.

python run_pipeline.py --source street.mp4 --engine plates --out out/
"""

import sys

from streamdet.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "run")
    main()
