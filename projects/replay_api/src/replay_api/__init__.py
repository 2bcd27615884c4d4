"""A service that replays flight logs: a real client of `common.temp`, a directory for each job."""
