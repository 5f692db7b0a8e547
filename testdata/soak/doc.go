// Package soak tests what must hold when things go wrong: a real daemon, a client that speaks the milter protocol as an MTA does, and
// faults. The tests see what the SMTP client and the admin see: answers, the log, the metrics, the commands.
//
// Some step the clock: the daemon that they run is the one that testdata/clocked builds, or that GATEPOST_CLOCKED names.
//
// Each runs for a moment in make test. GATEPOST_SOAK=1h (make soak) makes them long; GATEPOST_SEED repeats a run.
package soak
