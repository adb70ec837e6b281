/**
 * The line protocol on `node:tls` by hand, with care: one decode and one write for each chunk, and reading stops while the peer does
 * not take the answers.
 *
 * `node-tls.ts PORT`
 */
import * as Tls from "node:tls"
import { encode, Lines } from "../servers/lines.ts"
import * as Certificate from "./certificate.ts"

const serve = (socket: Tls.TLSSocket): void => {
  const splitter = new Lines()
  let isReady = false
  const onData = (chunk: Buffer): void => {
    const lines = splitter.push(chunk)
    if (lines === undefined) return
    if (!isReady) {
      if (lines[0] !== "You ready?") {
        socket.off("data", onData)
        socket.end("No! Go away!\n")
        return
      }
      isReady = true
      lines[0] = "Bring it!"
    }
    if (!socket.write(encode(lines), "utf8")) socket.pause()
  }
  socket.on("data", onData)
  socket.on("drain", () => socket.resume())
  socket.on("error", () => socket.destroy())
}

const server = Tls.createServer({ ...Certificate.plain, minVersion: "TLSv1.2", noDelay: true }, serve)
server.on("tlsClientError", () => {})
server.listen(Number(process.argv[2]), "127.0.0.1", () => {
  const address = server.address()
  console.log(`listening ${typeof address === "object" ? address?.port : "?"}`)
})
