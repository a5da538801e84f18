package registry

import "idlepush/registry/table"

// Host returns what was learned of a mail server, by whatever name the caller gives it; the zero
// Host: nothing.
func (m Mail) Host(name string) (h Host, err error) {
	err = m.db.View(func(tx *table.Tx) error {
		row, _, err := hosts.Get(tx, table.Text(name))
		h = Host(row)
		return err
	})
	return h, err
}

// PutHost writes what was learned of a mail server.
func (m Mail) PutHost(name string, h Host) error {
	return m.db.Update(func(tx *table.Tx) error { return hosts.Put(tx, table.Text(name), hostRow(h)) })
}
