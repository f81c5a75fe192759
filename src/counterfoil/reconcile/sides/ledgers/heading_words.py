"""What ledgers call their columns, in several languages and spellings: our name, and the headings that mean it.

Headings are compared as `folded_heading` leaves them: small letters and digits, nothing else, no accents.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_WORDS: Final = {
    "CustomerId": """customerid customertenantid customertenant tenantid tenant tenantguid customerguid microsoftid
        microsofttenantid mandantenid mandantid mandant kundenid kundeid kundentenant endcustomerid idcliente
        clienteid idclient clientid klantid kundid kundetenant tenantidcliente idklienta customerno customernumber
        kundennummer kundennr kundenr debitorennummer debitornr numeroclient numclient codigocliente codicecliente
        klantnummer kundnummer numerklienta""",
    "CustomerName": """customer customername kunde kundenname kundname name firma firmenname company companyname client
        clientname nomclient nomduclient cliente nombrecliente nombredelcliente nomecliente klant klantnaam kund
        kundnamn kundenavn asiakas klient nazwaklienta zakaznik debitor debitorname account accountname endcustomer
        endcustomername endkunde organisation organization reseller ragionesociale razonsocial""",
    "CustomerDomainName": """domain domainname customerdomain customerdomainname primarydomain defaultdomain domaene
        domane domaine dominio domein domena""",
    "SubscriptionId": """subscriptionid subscription subscriptionguid subscriptionnumber azuresubscriptionid subid
        abonnementid abonnement aboid abo abonummer abonnementsnummer idabonnement idsuscripcion suscripcion
        idabbonamento abbonamento assinatura idassinatura prenumeration prenumerationsid tilaus subskrypcja""",
    "SubscriptionDescription": "subscriptiondescription subscriptionname abonnementname abobezeichnung friendlyname",
    "ProductId": """productid produktid artikelnummer artikelnr itemno itemnumber itemcode partnumber partno
        materialnummer materialno productcode produktcode offerid referenceproduit refproduit codigoproducto
        codiceprodotto artikelcode""",
    "ProductName": """product productname produkt produktname artikel artikelbezeichnung artikelname article item
        itemname description itemdescription bezeichnung beschreibung designation descripcion descrizione produit
        nomproduit producto prodotto produto omschrijving benamning offer offername license licensename lizenz
        service leistung position tuote nazwaproduktu""",
    "SkuId": "sku skuid skucode",
    "SkuName": "skuname edition plan planname",
    "ChargeType": "chargetype type art buchungsart vorgang transactiontype typ tipo kostenart",
    "OrderId": """orderid order ordernumber orderno auftragsnummer auftrag bestellnummer bestellung commande pedido
        ordine""",
    "InvoiceNumber": """invoicenumber invoice invoiceid invoiceno rechnungsnummer rechnung rechnungsnr belegnummer
        beleg facture numerofacture factura fattura factuur factuurnummer faktura fakturanummer""",
    "Quantity": """quantity qty menge anzahl stuck stueck stk seats seatcount licenses licences lizenzen quantite qte
        cantidad cant quantita aantal antal ilosc mnozstvi units unitcount count maara kvantitet numberofseats""",
    "EffectiveUnitPrice": """unitprice price preis einzelpreis stuckpreis stueckpreis ep prix prixunitaire pu prezzo
        prezzounitario precio preciounitario stukprijs eenheidsprijs prijs costprice unitcost einkaufspreis ekpreis
        ek einzelkosten apris cenajednostkowa cena effectiveunitprice buyprice purchaseprice""",
    "UnitPrice": "listprice listunitprice listenpreis retailprice rrp uvp prixpublic preciolista listino erp",
    "Subtotal": """subtotal net netto nettobetrag netamount amount betrag montant montantht totalht importe importo
        bedrag belopp belob kwota castka amountexcltax amountexvat exvat totalexvat totalexcltax nettowert
        nettosumme cost costs kosten cout coste costo einkauf ekgesamt ekbetrag linetotal extendedprice
        extendedamount extended charge charges positionsbetrag summenetto gesamtnetto totalnet imponibile
        baseimponible bedragexcl kwotanetto netcost totalcost pretaxtotal billingpretaxtotal""",
    "TaxTotal": """tax taxes taxamount taxtotal vat vatamount mwst mwstbetrag ust ustbetrag steuer steuerbetrag
        umsatzsteuer mehrwertsteuer tva montanttva iva btw btwbedrag moms momsbelopp gst hst podatek dph""",
    "Total": """total totalamount gross grossamount brutto bruttobetrag totalincltax totalinclvat inclvat amountincltax
        gesamt gesamtbetrag gesamtsumme ttc montantttc totalttc totale totaal totaalincl totaltaxincluded
        summebrutto importetotal razem celkem invoicetotal""",
    "Debit": "debit debitamount soll sollbetrag debe dare",
    "Credit": "credit creditamount haben habenbetrag haber avere",
    "Currency": """currency currencycode wahrung waehrung whg devise monnaie moneda divisa valuta waluta mena ccy cur
        curr""",
    "UsageDate": "usagedate verbrauchsdatum nutzungsdatum",
    "ChargeStartDate": """chargestartdate startdate start from von leistungvon periodstart startofperiod begin beginn
        begindate datum date invoicedate rechnungsdatum buchungsdatum postingdate monat month period periode
        billingperiod abrechnungsmonat leistungszeitraum zeitraum mois mes mese maand fecha data dato paivamaara
        datedebut fechainicio datainizio servicedate""",
    "ChargeEndDate": "chargeenddate enddate end until bis leistungbis periodend datefin fechafin datafine einddatum",
    "SaleAmount": """saleamount salesamount revenue umsatz erlos erloes sale sales sellamount sellingamount
        sellingtotal salestotal verkauf verkaufsbetrag vk vkgesamt vkbetrag ventas chiffredaffaires ca resale
        resaleamount resaletotal customeramount endcustomertotal billedamount omzet omsetning ricavo""",
    "SalePrice": """saleprice salesprice sellprice sellingprice sellunitprice verkaufspreis vkpreis vkep vkeinzelpreis
        prixdevente precioventa preciodeventa prezzodivendita verkoopprijs resaleprice resaleunitprice customerprice
        enduserprice endcustomerprice""",
}
OURS: Final[dict[str, str]] = {word: ours for ours, words in _WORDS.items() for word in words.split()}


def folded_heading(text: str) -> str:
    """Return a heading as the table has it: `Kunden-Nr.` is `kundennr`, `Währung` is `wahrung`."""
    spelled = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in spelled if sign.isalnum())


def meant_by(heading: str) -> str | None:
    """Return our name of what a heading means, None where it is not known."""
    return OURS.get(folded_heading(heading))
