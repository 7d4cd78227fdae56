import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { type WebSocket, WebSocketServer } from 'ws';
import { openPrivateFeed, type PrivateFeed, type PrivateFeedOptions } from '#src/btcturk/private-feed.js';
import { formatDecimal } from '#src/domain/money.js';
import type { PrivateEvent } from '#src/domain/venue-port.js';
import { eventsOf } from './collected.js';
import { CREDENTIALS } from './fixtures.js';

describe('private feed over a socket', () => {
  let server: WebSocketServer;
  let feed: PrivateFeed;

  const follow = (
    wsUrl: string,
    heard: Partial<Pick<PrivateFeedOptions, 'onEvent' | 'onState'>>,
  ): PrivateFeed =>
    openPrivateFeed({
      wsUrl,
      credentials: CREDENTIALS,
      seed: 1,
      onEvent: () => {},
      onState: () => {},
      ...heard,
    });

  const start = async (onFrame: (socket: WebSocket, frame: unknown) => void): Promise<string> => {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    server.on('connection', socket => {
      socket.send('[991,{"type":991,"current":"6.0.0","min":"2.3.0"}]');
      socket.on('message', message => onFrame(socket, JSON.parse(message.toString())));
    });
    return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  afterEach(() => {
    feed.close();
    for (const socket of server.clients) socket.terminate();
    server.close();
  });

  it('logs in with the signature of the vectors and passes on what it hears, without losing a digit', async () => {
    const logins: unknown[] = [];
    const wsUrl = await start((socket, frame) => {
      logins.push(frame);
      socket.send('[114,{"type":114,"id":700123,"ok":true,"message":null}]');
      socket.send(
        '[451,{"type":451,"pairId":62,"symbol":"DOTUSDT","id":31840022117,"method":0,"userId":700123,"orderType":1,"price":"4.21","amount":"25.5","numLeft":"25.5","denomLeft":"107.204703","newOrderClientId":"mm-1"}]',
      );
      socket.send(
        '[441,{"type":441,"id":31840022117,"user":700123,"isBid":false,"method":0,"pair":62,"symbol":"DOTUSDT","amount":"25.5000000000","price":"4.2100000000","clientId":"mm-1","timestamp":"1790133598911"}]',
      );
      socket.send(
        '[423,{"id":1263118840021773311,"orderId":31840022117,"timestamp":1790133598911,"numeratorSymbol":"DOT","denominatorSymbol":"USDT","amount":"-25.50","fee":"-0.12524750","tax":"-0.02504950","price":"4.21","orderType":"sell","orderClientId":"mm-1","preciseAmount":-25.500000000000001}]',
      );
      socket.send('[201,{"type":201,"userId":700123,"payload":"62,19,7"}]');
      socket.send('[777,{"new":"model"}]');
      socket.send('[453,{"type":453,"id":31840022117,"price":"4.22","newOrderClientId":"mm-1"}]');
      socket.send(
        '[452,{"type":452,"pairId":62,"symbol":"DOTUSDT","id":31840022117,"method":0,"userId":700123,"orderType":1,"price":"4.21","amount":"25.5","numLeft":"0","denomLeft":"0","newOrderClientId":"mm-1"}]',
      );
    });
    const events = eventsOf<PrivateEvent>();
    const states: string[] = [];
    feed = follow(wsUrl, { onEvent: events.add, onState: state => states.push(state) });
    await events.find(event => event.type === 'order-removed');
    expect(logins).to.have.length(1);
    expect(logins[0]).to.have.nested.property('[1].signature').that.has.length(44);
    expect(states).to.deep.equal(['connecting', 'logging-in', 'live']);
    expect(events.items.map(({ type }) => type)).to.deep.equal([
      'order-inserted',
      'match-hint',
      'fill',
      'balance-hint',
      'match-hint',
      'order-removed',
    ]);
    const fill = events.items[2];
    if (fill?.type !== 'fill') throw new Error('the third event is the fill');
    expect(fill.fill).to.deep.include({
      tradeId: '1263118840021773311',
      venueOrderId: '31840022117',
      clientOrderId: 'mm-1',
      symbol: 'DOTUSDT',
      side: 'sell',
      feeAsset: 'USDT',
    });
    expect(formatDecimal(fill.fill.quantity)).to.equal('25.500000000000001');
    expect(formatDecimal(fill.fill.fee)).to.equal('0.1252475');
  });

  it('stops at a refused login', async () => {
    const wsUrl = await start(socket =>
      socket.send('[114,{"type":114,"ok":false,"id":0,"message":"Unauthorized - Invalid Public key"}]'),
    );
    const states = eventsOf<string>();
    feed = follow(wsUrl, { onState: (state, detail) => states.add(`${state}: ${detail}`) });
    await states.find(state => state === 'refused: Unauthorized - Invalid Public key');
    expect(server.clients.size).to.be.at.most(1);
  });

  it('logs in with a new key although the old one was refused', async () => {
    const wsUrl = await start((socket, frame) => {
      const { publicKey } = (frame as [number, { readonly publicKey: string }])[1];
      socket.send(
        publicKey === 'the-new-key'
          ? '[114,{"type":114,"id":700123,"ok":true,"message":null}]'
          : '[114,{"type":114,"ok":false,"id":0,"message":"Unauthorized - Invalid Public key"}]',
      );
    });
    const states = eventsOf<string>();
    feed = follow(wsUrl, { onState: states.add });
    await states.find(state => state === 'refused');
    feed.useKey({ ...CREDENTIALS, apiKey: 'the-new-key' });
    await states.find(state => state === 'live');
    expect(feed.userId()).to.equal('700123');
  });

  it('names no order by an id of zero, as frames of a website session do, and has the account looked at', async () => {
    const wsUrl = await start(socket => {
      socket.send('[114,{"type":114,"id":700123,"ok":true,"message":null}]');
      for (const model of [441, 451, 452])
        socket.send(
          `[${model},{"type":${model},"symbol":"DOTUSDT","id":0,"userId":0,"amount":"25.5","clientId":"mm-1","newOrderClientId":"mm-1"}]`,
        );
    });
    const events = eventsOf<PrivateEvent>();
    feed = follow(wsUrl, { onEvent: events.add });
    await events.find(() => events.items.length === 3);
    expect(events.items).to.deep.equal(Array.from({ length: 3 }, () => ({ type: 'balance-hint' })));
  });

  it('comes back after the venue drops it without a word', async () => {
    let logins = 0;
    const wsUrl = await start(socket => {
      logins += 1;
      socket.send('[114,{"type":114,"id":1,"ok":true,"message":null}]');
      if (logins === 1) setImmediate(() => socket.terminate());
    });
    const states = eventsOf<string>();
    feed = follow(wsUrl, { onState: states.add });
    await states.find(state => state === 'disconnected');
    states.clear();
    await states.find(state => state === 'live');
    expect(logins).to.equal(2);
  });
});
