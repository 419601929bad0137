// A storage SCP of dcmjs-dimse: node receiver.cjs PORT FOLDER
// Each object becomes a file FOLDER/NUMBER-TRANSFER_SYNTAX.dataset of the bytes as they came, once dcmjs has read them.
const fs = require('fs');
const path = require('path');
const { Writable } = require('stream');
const { Dataset, Scp, Server } = require('dcmjs-dimse');
const { CEchoResponse, CStoreResponse } = require('dcmjs-dimse').responses;
const { PresentationContextResult, Status, TransferSyntax } = require('dcmjs-dimse').constants;

const [port, folder] = process.argv.slice(2);
const accepted = [TransferSyntax.ImplicitVRLittleEndian, TransferSyntax.ExplicitVRLittleEndian];
let count = 0;

class Receiver extends Scp {
  associationRequested(association) {
    this.association = association;
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      const syntax = context.getTransferSyntaxUids().find((uid) => accepted.includes(uid));
      if (syntax) {
        context.setResult(PresentationContextResult.Accept, syntax);
      } else {
        context.setResult(PresentationContextResult.RejectTransferSyntaxesNotSupported);
      }
    }
    this.sendAssociationAccept();
  }

  createStoreWritableStream() {
    const chunks = [];
    const stream = new Writable({
      write(chunk, _encoding, done) {
        chunks.push(Buffer.from(chunk));
        done();
      },
    });
    stream.chunks = chunks;
    return stream;
  }

  createDatasetFromStoreWritableStream(stream, context, callback) {
    const bytes = Buffer.concat(stream.chunks);
    const syntax = context.getAcceptedTransferSyntaxUid();
    const read = new Dataset(bytes, syntax);
    read.received = { bytes, syntax };
    callback(read);
  }

  cEchoRequest(request, callback) {
    const response = CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }

  cStoreRequest(request, callback) {
    const response = CStoreResponse.fromRequest(request);
    const dataset = request.getDataset();
    if (dataset.getElement('SOPInstanceUID') === request.getAffectedSopInstanceUid()) {
      count += 1;
      const name = `${count}-${dataset.received.syntax}.dataset`;
      fs.writeFileSync(path.join(folder, name), dataset.received.bytes);
      response.setStatus(Status.Success);
    } else {
      response.setStatus(Status.ProcessingFailure);
    }
    callback(response);
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

new Server(Receiver).listen(Number(port));
