/** execution ↔ reconciliation, and reconciliation → strategy (account updates only). */
export type {
  AbsenceProven,
  AccountReport,
  AccountUpdated,
  EvidenceWanted,
  ExecutionReport,
  FillBooked,
  OrderHinted,
  OrderReported,
  OrderTracked,
  Reconciled,
} from '../domain/account-events.js';
