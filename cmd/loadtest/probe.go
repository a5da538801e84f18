//go:build linux

package main

import (
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"syscall"
)

// This file is compiled into loadtest, and by the overlay of buildDaemon into idlepush: so the
// processes that are measured obey loadtest, and the program of everybody knows nothing of it.

// probeVariable is set in the environment of the measured process: to the path of profiles, without
// their extension.
const probeVariable = "LOADTEST_PROBE"

var probing sync.WaitGroup

func init() {
	path, measured := os.LookupEnv(probeVariable)
	if !measured {
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	probing.Go(func() { probe(path, signals) })
}

// probe gives memory back at SIGUSR1. SIGUSR2 begins profiles, and the next ends them. Who asked
// for it sees what could not be done: there is no file.
func probe(path string, signals <-chan os.Signal) {
	var profile *os.File
	for s := range signals {
		switch {
		case s == syscall.SIGUSR1:
			// A stack halves with each.
			for range 8 {
				runtime.GC()
			}
			debug.FreeOSMemory()
		case profile == nil:
			profile, _ = os.Create(path + ".cpu")
			pprof.StartCPUProfile(profile)
		default:
			pprof.StopCPUProfile()
			profile.Close()
			profile = nil
			writeHeap(path + ".heap")
		}
	}
}

// writeHeap writes the heap profile. The file is there once it is whole.
func writeHeap(path string) {
	heap, err := os.Create(path + ".new")
	if err != nil {
		return
	}
	pprof.WriteHeapProfile(heap)
	heap.Close()
	os.Rename(heap.Name(), path)
}
