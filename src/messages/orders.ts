/** strategy ↔ execution. */
export type {
  CancelOrder,
  IntentDenied,
  OrderEvent,
  OrderIntent,
  OrderUpdated,
  PlaceOrder,
} from '../domain/order-events.js';
