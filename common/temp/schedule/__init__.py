"""`temp-schedule`: cleans on a schedule, by the scheduler that the machine has.

`schedulers` lists them and says what each has to offer; `command` chooses one. `job` says what runs
and how often. `systemd`, `cron`, `launchd` and `windows` write that for each scheduler, install it
and remove it. `run` is what a scheduler runs, and `automatic` what `auto_clean` starts.
"""
