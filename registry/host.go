package registry

import "idlepush/registry/table"

// Host returns what is known of a mail server, by the name that the caller chose in PutHost. It
// returns the zero Host if nothing is known.
func (m Mail) Host(name string) (h Host, err error) {
	err = m.db.View(func(tx *table.Tx) error {
		row, _, err := hosts.Get(tx, table.Text(name))
		h = Host(row)
		return err
	})
	return h, err
}

// PutHost writes what is known of a mail server under a name.
func (m Mail) PutHost(name string, h Host) error {
	return m.db.Update(func(tx *table.Tx) error { return hosts.Put(tx, table.Text(name), hostRow(h)) })
}
