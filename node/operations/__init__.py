"""What an operator can see and do, as functions with typed answers; command line and page show them."""
