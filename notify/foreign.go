package notify

import (
	"fmt"
	"slices"

	"github.com/parentpal/reminder-worker/notify/expo"
)

// foreign reports whether a push may be of another Expo project than ours.
func (p *push) foreign() bool { return p.project != "" || p.named != "" }

// byProject divides a chunk that Expo refused for holding tokens of several projects, by what it says of them: ours first, as far as we know.
// It returns nothing if Expo's word does not divide the chunk.
func (f *flight) byProject(chunk []*push, projects map[string][]string) (parts [][]*push) {
	of := map[string]string{}
	for project, tokens := range projects {
		for _, token := range tokens {
			of[token] = storable(project)
		}
	}
	by := map[string][]*push{}
	for _, p := range chunk {
		p.named = of[p.token]
		by[p.named] = append(by[p.named], p)
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
		if p.project = p.named; p.named == home {
			p.project = ""
		}
	}
	return parts
}

// home is our own project among those that Expo names: the one that is configured, or else the one that most of the tokens belong to.
func (f *flight) home(projects map[string][]string) (home string) {
	if _, found := projects[f.cfg.Project]; found {
		return f.cfg.Project
	}
	for name, tokens := range projects {
		if n := len(projects[home]); len(tokens) > n || len(tokens) == n && name < home {
			home = name
		}
	}
	return home
}

// disown deals with devices of another project, which this project's credentials or limits do not serve: our own project's requests go through.
// Their tokens come from another app, or from an older one. They are retired until the app registers them again; of limits that are reached
// no more follows than to wait.
func (f *flight) disown(chunk []*push, e *expo.Error) {
	if e.Kind == expo.Throttled {
		f.mark(chunk, blocked, e)
		return
	}
	f.mark(chunk, refused, e)
	for _, p := range chunk {
		if p.named != "" {
			p.project = p.named
		}
		p.retire = fmt.Sprintf("Expo project %s: %s", p.project, e.Code)
	}
	f.log.Warn().Err(e).Str("project", chunk[0].project).Int("devices", len(chunk)).Msg("devices of another Expo project retired")
}
