"""The page for operators and readers: rendered here, of what `node.operations` answers."""
