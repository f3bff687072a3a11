"""The objects by which JSON stands for the SQL values that it lacks."""

import math
from typing import Final

BLOB: Final = "$blob"
"""A BLOB, in base64."""
FLOAT: Final = "$float"
"""One of FLOATS."""
TEXT: Final = "$text"
"""TEXT that is not UTF-8, in base64."""

FLOATS: Final = {"Infinity": math.inf, "-Infinity": -math.inf}
