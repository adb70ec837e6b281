/**
 * The two sides of an HTTP/2 connection, and whose streams are which (RFC 9113 5.1.1).
 *
 * @internal
 */
export type Role = "server" | "client"

/** The other side's. */
export const peerOf = (role: Role): Role => role === "client" ? "server" : "client"

/** Whether a stream is one that this side begins: those of a client are odd, those of a server are even. */
export const isOf = (role: Role, streamId: number): boolean => streamId % 2 === (role === "client" ? 1 : 0)

/** The largest identifier that a stream of this side can have. */
export const largestOf = (role: Role): number => role === "client" ? 2 ** 31 - 1 : 2 ** 31 - 2
