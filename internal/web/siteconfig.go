package web

import (
	"context"
	"net/http"

	"causeway/protocol"

	"github.com/danielgtaylor/huma/v2"
)

type siteOutput struct{ Body protocol.SiteConfig }

func (s *Server) registerSite(api huma.API) {
	handle(s, api, huma.Operation{
		OperationID: "get-config", Method: http.MethodGet, Path: protocol.PathConfig, Tags: []string{"Site"},
		Summary: "What the web client may know before anything else",
	}, func(context.Context, *struct{}) (*siteOutput, error) {
		return &siteOutput{protocol.SiteConfig{Creation: s.cfg.Creation, Version: s.version}}, nil
	})
}
