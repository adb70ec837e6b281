/**
 * Who logs in where a server is measured, and how many iterations of PBKDF2 that takes: as many as PostgreSQL has.
 */
export const user = "bench"
export const password = "pencil"
export const database = "postgres"
export const iterations = 4096

/** Where PostgreSQL asks for nothing. */
export const trusting = "template1"
export const databaseOf = (method: string): string => method === "trust" ? trusting : database
