"""Streets with number plates, drawn by ourselves with numpy and OpenCV, and the exact truth about every picture.

    truth       what a picture is known to show        glyphs   characters as strokes, and families of them
    camera      the world to pixels and back           plates   the face of a plate
    mesh        lit polygons, painted smoothly         carbody  a car, piece by piece; cars: a random one
    hanging     flat pictures hung into the world      backdrop the street that does not move
    planes      to yuv420p                             street   traffic as a function of time
    bars        the cheapest scene with known boxes

Everything is seeded, and every picture can be drawn by itself: nothing depends on what was drawn before.
"""
