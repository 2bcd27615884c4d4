"""`temp-schedule`: cleans on a schedule, by the scheduler that the machine has.

`command` chooses the scheduler (`_MODULES`) and says what each has to offer (`Scheduler`). `job`
says what runs and how often. `systemd`, `cron`, `launchd` and `windows` write that for each
scheduler, install it and remove it. `run` is what the scheduler runs.
"""
