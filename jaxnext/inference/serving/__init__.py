"""Images that are sent by HTTP, answered in batches; nothing of them is kept."""
