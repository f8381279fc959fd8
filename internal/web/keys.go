package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"causeway/internal/store"
	"causeway/protocol"

	"github.com/danielgtaylor/huma/v2"
)

// keyPrefix begins every API key.
const keyPrefix = "cwk_"

const keysPath = "/api/v1/keys"

// APIKey is an API key as the API shows it.
type APIKey struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	// Key is the key itself, told once: when it is created.
	Key string `json:"key,omitempty" doc:"The key itself, told only in the answer that creates it"`
}

// CreateAPIKey is the body of POST /api/v1/keys.
type CreateAPIKey struct {
	Name string `json:"name" minLength:"1" maxLength:"64" doc:"What the key is for"`
}

// APIKeyList is the answer of GET /api/v1/keys.
type APIKeyList struct {
	Keys []APIKey `json:"keys"`
}

type (
	createKeyInput struct{ Body CreateAPIKey }
	keyOutput      struct{ Body APIKey }
	keysOutput     struct{ Body APIKeyList }
	keyInput       struct {
		ID string `path:"id" maxLength:"63"`
	}
)

func (s *Server) registerKeys(api huma.API) {
	key := []map[string][]string{{"apiKey": {}}}
	tags := []string{"API keys"}
	handle(s, api, huma.Operation{
		OperationID: "create-api-key", Method: http.MethodPost, Path: keysPath, Tags: tags, Security: key,
		DefaultStatus: http.StatusCreated, Summary: "Create an API key",
		Description: "The key is told in this answer and never again: only its hash is kept.",
	}, s.createKey)
	handle(s, api, huma.Operation{
		OperationID: "list-api-keys", Method: http.MethodGet, Path: keysPath, Tags: tags, Security: key, Summary: "List API keys",
	}, s.listKeys)
	handle(s, api, huma.Operation{
		OperationID: "revoke-api-key", Method: http.MethodDelete, Path: keysPath + "/{id}", Tags: tags, Security: key, Summary: "Revoke an API key",
	}, s.revokeKey)
}

// EnsureAPIKey makes an API key for whoever runs the server, who has no other
// way to the first one, and returns it.
func (s *Server) EnsureAPIKey(ctx context.Context, name string) (string, error) {
	k, err := NewAPIKey(ctx, s.store, name)
	return k.Key, err
}

// NewAPIKey makes a key and keeps its hash. It needs no server: an operator's
// first key comes from the command line.
func NewAPIKey(ctx context.Context, keep *store.Store, name string) (APIKey, error) {
	name, err := text("name", name, maxName)
	if err == nil && name == "" {
		err = protocol.NewProblem(protocol.ProblemBadRequest, "body.name: an API key needs a name that says what it is for")
	}
	if err != nil {
		return APIKey{}, err
	}
	k := store.APIKey{ID: newID(), Name: name, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	key := newSecret(keyPrefix)
	if err := keep.CreateAPIKey(ctx, k, key); err != nil {
		return APIKey{}, err
	}
	return APIKey{ID: k.ID, Name: k.Name, CreatedAt: k.CreatedAt, Key: key}, nil
}

// ValidAPIKey reports whether an API key is valid.
func (s *Server) ValidAPIKey(ctx context.Context, key string) (bool, error) {
	_, err := s.store.FindAPIKey(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s *Server) createKey(ctx context.Context, in *createKeyInput) (*keyOutput, error) {
	if _, err := s.authenticate(ctx, time.Now()); err != nil {
		return nil, err
	}
	k, err := NewAPIKey(ctx, s.store, in.Body.Name)
	if err != nil {
		return nil, err
	}
	s.log.Info("API key created", "key", k.ID, "name", k.Name)
	return &keyOutput{k}, nil
}

func (s *Server) listKeys(ctx context.Context, _ *struct{}) (*keysOutput, error) {
	if _, err := s.authenticate(ctx, time.Now()); err != nil {
		return nil, err
	}
	keys, err := s.store.APIKeys(ctx)
	if err != nil {
		return nil, err
	}
	list := APIKeyList{Keys: []APIKey{}}
	for _, k := range keys {
		list.Keys = append(list.Keys, APIKey{ID: k.ID, Name: k.Name, CreatedAt: k.CreatedAt})
	}
	return &keysOutput{list}, nil
}

func (s *Server) revokeKey(ctx context.Context, in *keyInput) (*struct{}, error) {
	if _, err := s.authenticate(ctx, time.Now()); err != nil {
		return nil, err
	}
	if !protocol.ValidID(in.ID) {
		return nil, protocol.NewProblem(protocol.ProblemNotFound, "")
	}
	err := s.store.DeleteAPIKey(ctx, in.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, protocol.NewProblem(protocol.ProblemNotFound, "")
	}
	if err == nil {
		s.log.Info("API key revoked", "key", in.ID)
	}
	return nil, err
}

// authenticate finds out whose API key came with a request.
func (s *Server) authenticate(ctx context.Context, now time.Time) (store.APIKey, error) {
	v := visitOf(ctx)
	if v.bearer == "" {
		return store.APIKey{}, protocol.NewProblem(protocol.ProblemUnauthorized, "")
	}
	key, err := store.APIKey{}, store.ErrNotFound
	if strings.HasPrefix(v.bearer, keyPrefix) {
		key, err = s.store.FindAPIKey(ctx, v.bearer)
	}
	wrong := errors.Is(err, store.ErrNotFound)
	if err != nil && !wrong {
		return key, err
	}
	if !s.limits.keys.Judge(v.client, wrong, now) {
		return store.APIKey{}, tooMany(s.limits.keys.Retry())
	}
	if wrong {
		return key, protocol.NewProblem(protocol.ProblemUnauthorized, "")
	}
	return key, nil
}
