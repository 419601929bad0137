"""The oblique studies of the results, with all that was made of them."""

from ..results.conftest import make_encoded, siemens  # noqa: F401 (fixtures)
