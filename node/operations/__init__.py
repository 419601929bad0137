"""Functions for all that an operator can see and do, with typed answers; command line and page show them."""
