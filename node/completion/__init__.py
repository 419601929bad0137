"""When a study is complete, by what has arrived and by what the PACS has of it."""
