/**
 * The two sides of an HTTP/2 connection, and whose streams are which (RFC 9113 5.1.1).
 *
 * @internal
 */
export type Role = "server" | "client"

/** Whether a stream is one that this side begins: those of a client are odd, those of a server are even. */
export const isOf = (role: Role, streamId: number): boolean => streamId % 2 === (role === "client" ? 1 : 0)
