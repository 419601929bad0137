"""The known-answer check: a study whose results are known goes through the node, from C-STORE to delivery."""
