package gcalfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

const maxBody = 4 << 20

// readBody decodes a request's JSON. Numbers keep their digits, so that an integer can be told from another number.
func (s *Server) readBody(r *http.Request, c *call) *answer {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return &dropped
	}
	if len(raw) > maxBody {
		return new(failure(http.StatusRequestEntityTooLarge, "uploadTooLarge", "Request Entity Too Large"))
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	if c.body, err = decodeObject(raw); err != nil {
		s.journal.violate(c.record.Op, "The body is not a JSON object.")
		return new(failure(http.StatusBadRequest, "parseError", "Parse Error"))
	}
	return nil
}

func decodeObject(raw []byte) (object map[string]any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err = dec.Decode(&object); err == nil && (object == nil || dec.More()) {
		err = errNotObject
	}
	return object, err
}

var errNotObject = errors.New("not one JSON object")
