package table_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"idlepush/registry/table"
)

// book is a row. Its place is sealed: it cannot be read without the key.
type book struct {
	Title  string
	Author string
	Shelf  table.Sealed
}

// byAuthor is a key of two fields, so the books of one author stand together.
type byAuthor struct{ author, isbn string }

func (k byAuthor) Append(data []byte) []byte {
	return append(table.AppendText(data, k.author), k.isbn...)
}

func (byAuthor) Parse(data []byte) (byAuthor, error) {
	f := table.Split(data)
	return byAuthor{f.Text(), f.Rest()}, f.Err()
}

// author is the prefix of the keys of one author's books.
type author string

func (a author) Append(data []byte) []byte { return table.AppendText(data, string(a)) }

// Tables and indexes are package variables.
var (
	books   = table.New[table.Text, book]("books") // by ISBN
	authors = table.NewIndex(books, "books/author", func(isbn table.Text, b book) []byAuthor {
		return []byAuthor{{b.Author, string(isbn)}}
	})
)

func Example() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	db, err := table.Create(filepath.Join(folder, "library"), table.Options{Key: make([]byte, table.KeySize)})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	err = db.Update(func(tx *table.Tx) error {
		shelf, err := books.Place(tx, "978-2").Seal("cellar, 7")
		return errors.Join(err,
			books.Put(tx, "978-1", book{Title: "Emma", Author: "Austen"}),
			books.Put(tx, "978-2", book{Title: "Walden", Author: "Thoreau", Shelf: shelf}),
			books.Put(tx, "978-3", book{Title: "Persuasion", Author: "Austen"}))
	})
	if err != nil {
		log.Fatal(err)
	}

	err = db.View(func(tx *table.Tx) error {
		found, err := authors.Rows(tx, table.Under(author("Austen")), table.NoLimit)
		for _, row := range found {
			fmt.Println(row.Key, row.Value.Title)
		}
		if err != nil {
			return err
		}
		walden, _, err := books.Get(tx, "978-2")
		if err != nil {
			return err
		}
		var shelf string
		err = books.Place(tx, "978-2").Open(walden.Shelf, &shelf)
		fmt.Println(walden.Title, "is in the", shelf)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// 978-1 Emma
	// 978-3 Persuasion
	// Walden is in the cellar, 7
}
