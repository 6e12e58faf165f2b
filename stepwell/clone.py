"""In a clone the rooms stand beside the folder of the face; imported first, this finds them there.

Else a Python that was not told of the clone by an install, or was told of another one, would import
the face from the working folder and find no rooms, or those of the other.
"""

import os
import sys

_face = sys.modules["stepwell"].__path__
_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if not os.path.isdir(os.path.join(_face[0], "engine")) and os.path.isfile(
    os.path.join(_root, "engine", "ports.py")
):
    _face.append(_root)
