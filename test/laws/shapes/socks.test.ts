/**
 * The laws of a handshake in three questions with frames of their own, as SOCKS5 has them.
 */
import * as Laws from "../../../src/testing/Laws.ts"
import * as Law from "../../support/laws.ts"
import { socks } from "./socks.ts"

Laws.handshake({ ...socks, it: Law.it })
