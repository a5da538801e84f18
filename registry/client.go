package registry

import (
	"idlepush"
	"idlepush/registry/table"
)

// secretPlace returns the place of the sealed secret, which opens for this client of this provider
// alone.
func (row clientRow) secretPlace(tx *table.Tx, k table.Text) table.Place {
	return clients.Place(tx, k).With(row.Issuer, row.ID)
}

// Clients returns the OAuth clients that admins have set, by provider. It leaves out
// those whose rows are damaged.
func (s Accounts) Clients() (list []idlepush.OAuthClient, err error) {
	err = s.db.View(func(tx *table.Tx) error {
		keys, err := clients.Keys(tx, table.Range{}, table.NoLimit)
		if err != nil {
			return err
		}
		for _, k := range keys {
			row, found, err := clients.Get(tx, k)
			if err != nil {
				return err
			}
			c := idlepush.OAuthClient{Provider: string(k), Issuer: row.Issuer, ID: row.ID}
			if found && row.secretPlace(tx, k).Open(row.Secret, (*string)(&c.Secret)) == nil {
				list = append(list, c)
			}
		}
		return nil
	})
	return list, err
}

// SetClient stores an OAuth client in place of the one that its provider has. A client without an
// ID removes it.
func (s Accounts) SetClient(c idlepush.OAuthClient) error {
	return s.db.Update(func(tx *table.Tx) (err error) {
		k := table.Text(c.Provider)
		if c.ID == "" {
			return clients.Delete(tx, k)
		}
		row := clientRow{Issuer: c.Issuer, ID: c.ID}
		if row.Secret, err = row.secretPlace(tx, k).Seal(string(c.Secret)); err != nil {
			return err
		}
		return clients.Put(tx, k, row)
	})
}
