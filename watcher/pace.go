package watcher

import "time"

// pace slows down the looks of a server that announces news over and over when there is none: some follow one another at once, then there is a wait
// before each, which doubles with every paceStep more.
type pace struct {
	barren int // looks that news asked for and that found nothing, in a row, counted double
	last   time.Time
}

const (
	paceFree  = 2 * 20 // looks that may follow one another at once
	paceStep  = 2 * 10
	paceFirst = time.Second
	paceMost  = 40 * time.Second
	paceCalm  = time.Minute // a time without such looks that ends the row
)

// after gives the wait after a look. News of flags alone do not count: they were gathered. Those of what was removed count half: where mail is cleared away one
// by one, some servers tell of it as Gmail does, by EXPUNGE and EXISTS.
func (p *pace) after(found int, hasty, expunged bool, now time.Time) time.Duration {
	if found > 0 || now.Sub(p.last) >= paceCalm {
		p.barren = 0
	}
	switch {
	case found > 0 || !hasty:
		return 0
	case expunged:
		p.barren++
	default:
		p.barren += 2
	}
	if p.last = now; p.barren <= paceFree {
		return 0
	}
	return min(paceFirst<<min((p.barren-paceFree-1)/paceStep, 10), paceMost)
}
