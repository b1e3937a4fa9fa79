package store

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// Register has a connection's types send and read UUIDs as the 16 bytes they are. Left to itself the driver writes each as text and reads that
// again, because the type knows how to be a text, which for arrays costs more than the rest of a statement's arguments.
func Register(m *pgtype.Map) {
	m.RegisterDefaultPgType(uuid.UUID{}, "uuid") // for statements whose arguments' types are not asked for
	m.RegisterDefaultPgType([]uuid.UUID{}, "_uuid")
	m.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{wrapToSend}, m.TryWrapEncodePlanFuncs...)
	m.TryWrapScanPlanFuncs = append([]pgtype.TryWrapScanPlanFunc{wrapToRead}, m.TryWrapScanPlanFuncs...)
}

// sent is a UUID that the driver takes for one.
type sent uuid.UUID

// UUIDValue implements pgtype.UUIDValuer.
func (u sent) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: u, Valid: true}, nil }

// read is a UUID that the driver takes for one.
type read uuid.UUID

// ScanUUID implements pgtype.UUIDScanner.
func (u *read) ScanUUID(v pgtype.UUID) error {
	*u = v.Bytes // null is the nil UUID
	return nil
}

func wrapToSend(value any) (pgtype.WrappedEncodePlanNextSetter, any, bool) {
	switch v := value.(type) {
	case uuid.UUID:
		return &sending{}, sent(v), true
	case []uuid.UUID:
		if v == nil {
			return nil, nil, false // which is null
		}
		return &sending{}, pgtype.FlatArray[uuid.UUID](v), true
	}
	return nil, nil, false
}

// sending sends what stands for a value by the plan that was made for that.
type sending struct{ next pgtype.EncodePlan }

// SetNext implements pgtype.WrappedEncodePlanNextSetter.
func (p *sending) SetNext(next pgtype.EncodePlan) { p.next = next }

// Encode implements pgtype.EncodePlan.
func (p *sending) Encode(value any, buf []byte) ([]byte, error) {
	switch v := value.(type) {
	case uuid.UUID:
		return p.next.Encode(sent(v), buf)
	case []uuid.UUID:
		return p.next.Encode(pgtype.FlatArray[uuid.UUID](v), buf)
	}
	return p.next.Encode(value, buf)
}

func wrapToRead(target any) (pgtype.WrappedScanPlanNextSetter, any, bool) {
	if u, ok := target.(*uuid.UUID); ok {
		return &reading{}, (*read)(u), true
	}
	return nil, nil, false
}

// reading reads into what stands for a target by the plan that was made for that.
type reading struct{ next pgtype.ScanPlan }

// SetNext implements pgtype.WrappedScanPlanNextSetter.
func (p *reading) SetNext(next pgtype.ScanPlan) { p.next = next }

// Scan implements pgtype.ScanPlan.
func (p *reading) Scan(src []byte, target any) error {
	if u, ok := target.(*uuid.UUID); ok {
		return p.next.Scan(src, (*read)(u))
	}
	return p.next.Scan(src, target)
}
