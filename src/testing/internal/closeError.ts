/**
 * How the sockets in memory end.
 *
 * @internal
 */
import * as Socket from "effect/socket/Socket"

const make = (code: number) => new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })

// Nearly every end is one of these; to make an error with its stack for each is the dearest part of it.
const inOrder = make(1000)
const broken = make(1006)

export const closeError = (code: number): Socket.SocketError =>
  code === 1000 ? inOrder : code === 1006 ? broken : make(code)
