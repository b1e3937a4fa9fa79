package notify

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/parentpal/reminder-worker/notify/expo"
)

// byProject divides a chunk that Expo refused for holding tokens of several projects, by what it says of them: ours first, as far as we know.
// It returns nothing if Expo's word does not divide the chunk.
func (f *flight) byProject(chunk []*push, projects map[string][]string) (parts [][]*push) {
	if len(projects) < 2 {
		return nil
	}
	of := map[string]string{}
	for project, tokens := range projects {
		for _, token := range tokens {
			of[token] = storable(project)
		}
	}
	by := map[string][]*push{}
	for _, p := range chunk {
		by[of[p.token]] = append(by[of[p.token]], p)
	}
	home := f.home(projects)
	names := make([]string, 0, len(by))
	for name := range by {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == home, b != home && a < b:
			return -1
		}
		return 1
	})
	for _, name := range names {
		parts = append(parts, by[name])
	}
	for _, p := range chunk {
		if p.project = of[p.token]; p.project == home {
			p.project = ""
		}
	}
	return parts
}

// home is our own project among those that Expo names: the one that is configured, or else the one that most of the tokens belong to.
func (f *flight) home(projects map[string][]string) (home string) {
	if f.cfg.Project != "" {
		return f.cfg.Project
	}
	for name, tokens := range projects {
		if n := len(projects[home]); len(tokens) > n || len(tokens) == n && name < home {
			home = name
		}
	}
	return home
}

// disown deals with devices of another project than ours, that our credentials are refused for, or whose limits are reached. They hold up nobody.
// Where the operator has said which project is ours, and Expo has taken ours since, those that Expo itself refuses are retired until the
// app registers them again: their tokens come from another app, or from the one before. Else they may be ours, and others' have outnumbered
// them; they are kept and tried again.
func (f *flight) disown(chunk []*push, e *expo.Error) {
	project := chunk[0].project
	first, known := f.pace.refusedFirst(project)
	taken := f.taken || f.pace.takenSince(first)
	if f.cfg.Project == "" || !taken || !refusesProject(e) {
		if f.cfg.Project == "" && known && !taken && e.Kind == expo.Project {
			f.raise(e, true)
		}
		f.mark(chunk, blocked, e)
		return
	}
	f.mark(chunk, refused, e)
	for _, p := range chunk {
		p.retire = fmt.Sprintf("Expo project %s: %s", project, e.Code)
	}
	f.log.Warn().Err(e).Str("project", project).Int("devices", len(chunk)).Msg("devices of another Expo project retired")
}

// refusesProject reports whether it was Expo itself that refused to let us push to a project, and not a gateway before it.
func refusesProject(e *expo.Error) bool {
	return e.Code == expo.CodeUnauthorized || e.Status == http.StatusForbidden && e.Code != "" && e.Kind == expo.Project
}
