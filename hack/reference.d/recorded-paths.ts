/** The paths of the agent's API that the examples need, and the file of each answer. */
export const ANSWERS: Readonly<Record<string, string>> = {
  '/v1/status': 'status.json',
  '/v1/inventory': 'inventory.json',
  '/v1/plan': 'plan.json',
  '/v1/attachments': 'attachments.json',
  '/v1/allocations': 'allocations.json',
  '/v1/gc': 'gc.json',
  '/v1/explain?device=eth0v3': 'explain.json',
};
