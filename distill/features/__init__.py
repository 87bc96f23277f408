"""Feature files of the challenge: a list of images or videos in, one unit vector a line out."""
