"""Images into folders of their predicted classes, and back."""
