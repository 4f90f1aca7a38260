"""Streets and number plates, drawn by ourselves with numpy and OpenCV, and the exact truth about every picture.

    truth         what a picture is known to show        dice           chance, seeded
    glyphs        characters as strokes                  glyph_styles   twenty ways to write them, four for tests only
    alphabets     characters as masks, typefaces too     lettering      lines of text and where each character stands
    plates        the face of a plate                    plate_parts    bands, seals, screws, dirt
    plate_kinds   which plates, for training or tests    mounts         what a plate is fixed to
    not_plates    what is mistaken for one               poses          before the camera: angles, homographies
    camera_chain  light, blur, noise, transmission       pasting        into a picture, in its light
    backgrounds   photographs and streets to paste into  plate_scenes   pictures for a detector
    plate_crops   what a reader sees, with masks         plate_passes   a plate coming nearer, look after look

    camera        the world to pixels and back           backdrop       the street that does not move
    mesh          lit polygons, painted smoothly         carbody        a car, piece by piece; cars: a random one
    hanging       flat pictures hung into the world      street         traffic as a function of time
    planes        to yuv420p                             bars           the cheapest scene with known boxes

Everything is seeded, and every picture can be drawn by itself: nothing depends on what was drawn before.
"""
