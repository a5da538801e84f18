package registry

import (
	"time"

	"idlepush/registry/table"
)

// inSteps runs a step in one transaction after another until one is done. After each, the next must
// be able to go on, even if it comes with another call.
func (c *core) inSteps(step func(*table.Tx) (done bool, err error)) (err error) {
	for done := false; !done && err == nil; {
		err = c.db.Update(func(tx *table.Tx) (err error) {
			done, err = step(tx)
			return err
		})
	}
	return err
}

// updateQueuesInSteps is inSteps for steps that may change queues.
func (c *core) updateQueuesInSteps(now time.Time, step func(*queueSet) (done bool, err error)) (err error) {
	for done := false; !done && err == nil; {
		err = c.updateQueues(now, func(set *queueSet) (err error) {
			done, err = step(set)
			return err
		})
	}
	return err
}
