package watcher

import "time"

// pace slows down the looks at a server that announces news over and over although nothing is new.
// Some looks follow one another at once. Then there is a wait before each, which doubles with every
// paceStep more.
type pace struct {
	emptyLooks int // looks after news that found nothing, in a row, counted double
	last       time.Time
}

const (
	paceFree  = 2 * 20 // looks that may follow one another at once
	paceStep  = 2 * 10
	paceFirst = time.Second
	maxPace   = 40 * time.Second
	paceCalm  = time.Minute // a time without such looks that ends the row
)

// after returns the wait after a look. Looks for flags alone do not count: flags have a delay of
// their own. Looks for removed messages count half: while a person removes mail one by one, some
// servers report it as Gmail does, by EXPUNGE and EXISTS.
func (p *pace) after(found int, early, expunged bool, now time.Time) time.Duration {
	if found > 0 || now.Sub(p.last) >= paceCalm {
		p.emptyLooks = 0
	}
	switch {
	case found > 0 || !early:
		return 0
	case expunged:
		p.emptyLooks++
	default:
		p.emptyLooks += 2
	}
	if p.last = now; p.emptyLooks <= paceFree {
		return 0
	}
	return min(paceFirst<<min((p.emptyLooks-paceFree-1)/paceStep, 10), maxPace)
}
