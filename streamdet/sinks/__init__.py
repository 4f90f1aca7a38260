"""Where results and events go: files, videos, pictures, the terminal."""
