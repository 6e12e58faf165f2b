"""The run store on SQL databases. What all of them have in common is written once.

An exchange is a pipeline (`exchange.pipeline`) over one unit of work (`Changes`); how its
statements are sent is a plan: stepwise, or fused where a database can change rows within WITH.

Where transactions run side by side, all of them lock in one order, so that none deadlock:

1. queues with limits, by name (`QueueLimits.lock`);
2. runs, by key: all runs whose steps are changed, and the runs above them that may be woken
   (`Graphs.lock_runs`); if one turns out to be missing, the transaction starts again (`TryAgain`);
3. the steps of these runs, the counters of keys, records by package, collection and key, the rest.

Runs are locked FOR NO KEY UPDATE: PostgreSQL checks a foreign key with a lock of its own on the row
that it refers to, not only when a row is stored, but also when one is changed twice in a
transaction.

Some transactions lock steps without their runs: claims, renewals, and the fences of checkpoints.
They never wait while they hold a lock on a step. A claim skips steps and runs that others have
locked, and gives back steps whose runs it cannot start; a renewal skips steps that others have
locked, and then waits for each of them alone; a fence locks one step and after it only that step's
checkpoint. In `workers` and `kv` only one row is waited for at a time, and clearing them skips
locked rows.
"""
