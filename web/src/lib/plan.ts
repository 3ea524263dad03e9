/** The plan of the hours ahead, as /api/v1/plan gives it. */
export type Plan = Record<string, unknown>;
