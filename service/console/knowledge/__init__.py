"""Knowledge: bring it, read it, edit it, try it, go back."""
