"""What distortion does to letters, in figures and pictures."""
