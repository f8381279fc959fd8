package client

import (
	"context"
	"time"
)

const (
	reportAfter  = 5 * time.Second // media has had its time by then
	reportBudget = 2 * time.Second
)

// firstReport leaves the report of a join that worked, for whoever looks after
// somebody who is still in the meeting.
func (m *Meeting) firstReport() {
	if pause(m.ctx, reportAfter) {
		m.leaveReport()
	}
}

// leaveReport leaves the report with web. Without it everything works as well.
func (m *Meeting) leaveReport() {
	token, _ := m.identity()
	if token == "" || m.options.NoReport { // nobody would take it from a stranger
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), reportBudget)
	defer cancel()
	if err := m.network.LeaveReport(ctx, m.link, token, m.Report()); err != nil {
		m.options.Log.Debug("the report is not left with web", "err", err)
	}
}
