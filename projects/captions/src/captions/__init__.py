"""A web service that finds the speech in a WAV file and returns WebVTT."""
