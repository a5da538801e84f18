package registry

import "idlepush/registry/table"

// Host returns what the accounts on a mail server have learned of it. The name is the one given to
// PutHost. If nothing is stored under it, Host returns the zero Host.
func (m Mail) Host(name string) (h Host, err error) {
	err = m.db.View(func(tx *table.Tx) error {
		row, _, err := hosts.Get(tx, table.Text(name))
		h = Host(row)
		return err
	})
	return h, err
}

// PutHost stores h under a name, which Host takes.
func (m Mail) PutHost(name string, h Host) error {
	return m.db.Update(func(tx *table.Tx) error { return hosts.Put(tx, table.Text(name), hostRow(h)) })
}
