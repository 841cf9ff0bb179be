"""What a trained classifier is used for; never imports training."""
