"""Reports as documents: blocks, and the one renderer of each format, Markdown, HTML and Word."""
