package main

import (
	"context"
	"fmt"
	"log/slog"

	"causeway/internal/base/logging"
	"causeway/internal/store"
	"causeway/internal/web"
)

// apiKeyCmd is `causeway apikey`.
type apiKeyCmd struct {
	Create apiKeyCreateCmd `cmd:"" help:"Make an API key, in the database of a web server's configuration."`
}

// apiKeyCreateCmd is `causeway apikey create`: how whoever runs a web server
// comes to the first key, which the API itself gives only to holders of one.
type apiKeyCreateCmd struct {
	Config string `help:"A web server's configuration; the server may be running." required:"" placeholder:"FILE" type:"path"`
	Name   string `help:"What the key is for." required:"" placeholder:"NAME"`
	JSON   bool   `name:"json" help:"Print JSON: id, name, created_at, key."`
}

// Help is the longer help of `causeway apikey create --help`.
func (*apiKeyCreateCmd) Help() string {
	return `Example:

  export CAUSEWAY_API_KEY=$(causeway apikey create --config web.yaml --name operator)
  causeway meeting list --server https://meet.example.org

The key is printed once: only its hash is kept. Holders of a key make, list and
revoke others over the API, at /api/v1/keys.`
}

// Run makes a key and prints it.
func (c *apiKeyCreateCmd) Run(ctx context.Context, to console) error {
	f, err := loadFile(c.Config, kindWeb, defaultWebFile())
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, f.Database, logging.New(to.err, logging.Text, slog.LevelWarn))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	key, err := web.NewAPIKey(ctx, db, c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(to.out, key)
	}
	_, err = fmt.Fprintln(to.out, key.Key)
	return err
}
